"""Who may do what: tokens of the API, and the keys that the hub signs with."""

from hookhub.access.keys import PublicKey, Signer, SigningKeys, make_pair
from hookhub.access.tokens import Token, Tokens
from hookhub.access.wrong_tokens import WrongTokens

__all__ = ["PublicKey", "Signer", "SigningKeys", "Token", "Tokens", "WrongTokens", "make_pair"]
