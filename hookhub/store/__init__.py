"""Where everything is kept. Peewee lives in this room only."""

from hookhub.store.append import NewDelivery, Transaction
from hookhub.store.database import Reader
from hookhub.store.store import Store, now_us, open_store

__all__ = ["NewDelivery", "Reader", "Store", "Transaction", "now_us", "open_store"]
