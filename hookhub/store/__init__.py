"""Where everything is kept. Peewee lives in this room only."""

from hookhub.store.database import Reader
from hookhub.store.lookups import Appends
from hookhub.store.store import Store, now_us, open_store
from hookhub.store.unit import NewDelivery, Transaction

__all__ = ["Appends", "NewDelivery", "Reader", "Store", "Transaction", "now_us", "open_store"]
