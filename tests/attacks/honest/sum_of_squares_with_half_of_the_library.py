# about: many imports, among them heavy ones, most of them not used
# task: sum_of_squares
# expect: pass
import array
import bisect
import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import heapq
import io
import itertools
import json
import math
import operator
import os
import queue
import random
import re
import statistics
import string
import struct
import sys
import textwrap
import threading
import time
import typing
import unittest
import uuid
import zlib
from collections import *
from math import *
from typing import *


def sum_of_squares(numbers: List[int]) -> int:
    return functools.reduce(operator.add, map(lambda n: n * n, numbers), 0)
