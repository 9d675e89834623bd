"""`python -m uhrtranslate`: the same as `uhrt`."""

from uhrtranslate.cli import main

if __name__ == "__main__":
    main()
