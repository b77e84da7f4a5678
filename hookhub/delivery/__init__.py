"""Deliveries that nothing loses: the engine, its decisions, and what others see of them.

Nothing is imported here, so that the store can use ``hookhub.contracts.deliveries``.
"""
