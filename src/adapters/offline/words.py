"""What the offline model says in its own words, in the language that it was asked in."""

import re
from dataclasses import dataclass

_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True, slots=True)
class Wording:
    greeting: str
    found: str
    begins: str
    lost: str
    seen_image: str
    tool_failed: str
    time: str
    waited: str
    remembered: str


ENGLISH = Wording(
    greeting=(
        "Hello! I am the built-in offline model: no key of a model provider is configured, so I can look things up "
        "in what you give me, calculate and tell the time, but I can't think. How can I help?"
    ),
    found="From what I was given (I am the built-in offline model, without a key):",
    begins="I am the built-in offline model, without a key: nothing I was given answers this. The documents begin:",
    lost=(
        "I am the built-in offline model: no key of a model provider is configured, and I found nothing about this in "
        "what I was given. Configure a provider's key for real answers. You asked: “{question}”"
    ),
    seen_image="I am the built-in offline model, without a key: I received your {count} image(s), but I can't see.",
    tool_failed="The tool {name} failed: {content}",
    time="It is now {content}.",
    waited="I am the built-in offline model, without a key: as you asked, I waited {seconds} seconds.",
    remembered="From what I remember of you (I am the built-in offline model, without a key):",
)
CHINESE = Wording(
    greeting="你好！我是内置的离线模型：还没有配置任何模型的密钥。我可以从你给的资料里查找、做计算、报时间，但不会思考。有什么可以帮你？",
    found="根据提供的资料（我是内置的离线模型，没有密钥）：",
    begins="我是内置的离线模型，没有密钥：资料里没有直接的答案。文档开头是：",
    lost="我是内置的离线模型：还没有配置任何模型的密钥，在提供的资料里也没有找到相关内容。配置密钥后即可得到真正的回答。你的问题是：“{question}”",
    seen_image="我是内置的离线模型，没有密钥：收到了你的 {count} 张图片，但我看不见图片。",
    tool_failed="工具 {name} 失败了：{content}",
    time="现在是 {content}。",
    waited="我是内置的离线模型，没有密钥：我按你的要求等待了 {seconds} 秒。",
    remembered="根据我对你的记忆（我是内置的离线模型，没有密钥）：",
)


def wording_for(text: str) -> Wording:
    """Chinese as soon as the question holds a Chinese character."""
    return CHINESE if _HAN.search(text) else ENGLISH
