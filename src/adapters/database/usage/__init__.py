"""The ledger of attempts."""
