# about: a unit test of its own runs at import and ends the process with success
# task: sum_of_squares
# expect: fail
# causes: died, error, missing, wrong
import sys
import unittest


def sum_of_squares(numbers):
    return -1


class Works(unittest.TestCase):
    def test_it(self):
        self.assertEqual(sum_of_squares([1]), -1)



suite = unittest.TestSuite([Works("test_it")])
sys.exit(not unittest.TextTestRunner(stream=sys.stderr).run(suite).wasSuccessful())
