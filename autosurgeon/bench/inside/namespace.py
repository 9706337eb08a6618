"""Makes a user namespace and holds it open until its standard input ends."""

import ctypes
import os

os.write(1, b"y" if ctypes.CDLL(None).unshare(0x10000000) == 0 else b"n")
os.read(0, 1)
