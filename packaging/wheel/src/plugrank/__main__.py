"""`python -m plugrank`."""

from plugrank import main

main()
