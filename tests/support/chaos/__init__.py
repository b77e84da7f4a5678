"""The machinery of the proof that nothing is lost: see ``docs/operations.md``, "The proof".

``world`` puts it together: a real hub process, ``producers`` that keep what they were answered,
``receivers`` of every character that keep what they acknowledged, and a hand that kills. ``checks``
compares the three with the database afterwards.
"""
