"""For tests of hookhub and of plugins: real hubs, real databases, conformance suites.

``pytest_plugins = ["hookhub.testing.fixtures"]`` in the top ``conftest.py`` brings the fixtures.
Nothing is imported here, so that a program may use one part without having pytest.
"""
