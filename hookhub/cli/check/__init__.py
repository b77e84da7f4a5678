"""``hookhub check``: would a hub start here, and would it do its work?"""
