"""``python -m hookhub``."""

from hookhub.cli import main

if __name__ == "__main__":
    main(prog_name="hookhub")
