# about: ast, pickle, marshal, struct, io, socket and os are replaced wherever they can be
# task: sum_of_squares
# expect: fail
# causes: wrong, error, type, died, timeout
# slow: yes
import ast
import io
import marshal
import os
import pickle
import socket
import struct


def lie(*args, **kwargs):
    return b"\x0e"


def sum_of_squares(numbers):
    ast.literal_eval = lambda text: ([],)
    pickle.dumps = marshal.dumps = struct.pack = lie
    struct.unpack = struct.unpack_from = lambda *args: (1,)
    socket.socket.recv = socket.socket.send = socket.socket.sendall = lie
    io.BytesIO = io.StringIO = io.TextIOWrapper = lie
    os.write = lambda fd, words: len(words)
    os.read = lie
    return -1
