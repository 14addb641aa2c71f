"""Accounts and logins over HTTP."""

from typing import Annotated, Any, Final

from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter
from msgspec import UNSET, Struct, UnsetType

from application.accounts.passwords import ChangePassword
from application.accounts.sessions import LogIn, LogOut, RefreshSession, Tokens
from application.accounts.users import DeleteUser, NewAccount, ProfileChange, RegisterUser, ShowUser, UpdateUser
from domain.accounts.users import User
from domain.ids import UserId
from entrypoints.http.auth import PUBLIC, Caller
from entrypoints.http.envelope import Envelope, ok, rfc3339
from entrypoints.http.identifiers import Identifier, from_path
from entrypoints.http.v1.icons import icon_handlers

TAGS: Final = ["users"]
BEARER: Final = "Bearer"
NO_STORE: Final = {"Cache-Control": "no-store"}


class RegisterBody(Struct):
    user_name: str
    user_password: str
    user_email: str | None = None
    user_avatar: str | None = None
    user_description: str | None = None


class LoginBody(Struct):
    user_name: str
    user_password: str


class RefreshBody(Struct):
    refresh_token: str


class LogoutBody(Struct):
    refresh_token: str | None = None


class PasswordBody(Struct):
    old_password: str
    new_password: str


class UpdateUserBody(Struct):
    """Null leaves a field as it is; an e-mail address of "" removes it. Without `user_id` it is the caller's own."""

    user_id: Identifier | None = None
    user_email: str | None = None
    user_avatar: str | None = None
    user_description: str | None = None


class DeleteUserBody(Struct):
    user_password: str


class UserIdView(Struct):
    user_id: str


class TokensView(Struct):
    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds that the access token is good for."""
    token_type: str = BEARER

    @classmethod
    def of(cls, tokens: Tokens) -> "TokensView":
        return cls(tokens.access_token, tokens.refresh_token, tokens.expires_in)


class LoginView(Struct):
    user_id: str
    user_name: str
    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = BEARER


class UserView(Struct, kw_only=True):
    """`user_email` is there in the caller's own profile only."""

    user_id: str
    user_name: str
    user_email: str | UnsetType | None = UNSET
    user_avatar: str
    user_description: str
    role: str
    create_time: str
    update_time: str

    @classmethod
    def of(cls, user: User, caller: Caller) -> "UserView":
        return cls(
            user_id=user.user_id,
            user_name=user.name.value,
            user_email=user.email if user.user_id == caller.user_id else UNSET,
            user_avatar=user.avatar,
            user_description=user.description,
            role=user.role,
            create_time=rfc3339(user.created_at),
            update_time=rfc3339(user.updated_at),
        )


@post("/user/register", status_code=200, opt=PUBLIC, summary="Make an account", tags=TAGS)
@inject
async def register(data: JSONBody[RegisterBody], register_user: FromDishka[RegisterUser]) -> Envelope[UserIdView]:
    account = NewAccount(data.user_name, data.user_password, data.user_email, data.user_avatar, data.user_description)
    return ok(UserIdView((await register_user(account)).user_id))


@post("/user/login", status_code=200, opt=PUBLIC, summary="Log in", tags=TAGS, response_headers=NO_STORE)
@inject
async def log_in(
    data: JSONBody[LoginBody], request: Request[Any, Any, Any], log_in_: FromDishka[LogIn]
) -> Envelope[LoginView]:
    user, tokens = await log_in_(data.user_name, data.user_password, address_of(request))
    view = LoginView(user.user_id, user.name.value, tokens.access_token, tokens.refresh_token, tokens.expires_in)
    return ok(view)


@post(
    "/user/refresh",
    status_code=200,
    opt=PUBLIC,
    summary="Exchange a refresh token, which works once, for a new pair",
    tags=TAGS,
    response_headers=NO_STORE,
)
@inject
async def refresh(data: JSONBody[RefreshBody], refresh_session: FromDishka[RefreshSession]) -> Envelope[TokensView]:
    return ok(TokensView.of(await refresh_session(data.refresh_token)))


@post("/user/logout", status_code=200, summary="End this login", tags=TAGS)
@inject
async def log_out(
    caller: FromDishka[Caller], log_out_: FromDishka[LogOut], data: JSONBody[LogoutBody | None] = None
) -> Envelope[None]:
    await log_out_(caller, data.refresh_token if data else None)
    return ok(None)


@put("/user/password", summary="Change the password, which ends all other logins", tags=TAGS)
@inject
async def change_password(
    data: JSONBody[PasswordBody],
    request: Request[Any, Any, Any],
    caller: FromDishka[Caller],
    change: FromDishka[ChangePassword],
) -> Envelope[None]:
    await change(caller, data.old_password, data.new_password, address_of(request))
    return ok(None)


@get("/user/info", summary="A profile, by default the caller's own", tags=TAGS)
@inject
async def show_user(
    caller: FromDishka[Caller],
    show: FromDishka[ShowUser],
    user_id: Annotated[str | None, QueryParameter(description="The caller without it")] = None,
) -> Envelope[UserView]:
    wanted = UserId(from_path("user", user_id)) if user_id else None
    return ok(UserView.of(await show(caller.user_id, wanted), caller))


@put("/user/update", summary="Change the fields of a profile that are present", tags=TAGS)
@inject
async def update_user(
    data: JSONBody[UpdateUserBody], caller: FromDishka[Caller], update: FromDishka[UpdateUser]
) -> Envelope[UserView]:
    change = ProfileChange(data.user_email, data.user_avatar, data.user_description)
    user_id = UserId(data.user_id) if data.user_id else caller.user_id
    return ok(UserView.of(await update(caller.user_id, user_id, change), caller))


@delete("/user/delete", status_code=200, summary="Delete the caller and all that is theirs", tags=TAGS)
@inject
async def delete_user(
    data: JSONBody[DeleteUserBody],
    request: Request[Any, Any, Any],
    caller: FromDishka[Caller],
    remove: FromDishka[DeleteUser],
) -> Envelope[None]:
    await remove(caller.user_id, data.user_password, address_of(request))
    return ok(None)


def address_of(request: Request[Any, Any, Any]) -> str:
    """The client's, as the server believes it: behind a trusted proxy that is what the proxy says."""
    return request.client.host if request.client else ""


user_handlers: list[HTTPRouteHandler] = [
    register,
    log_in,
    refresh,
    log_out,
    change_password,
    show_user,
    update_user,
    delete_user,
    *icon_handlers,
]
