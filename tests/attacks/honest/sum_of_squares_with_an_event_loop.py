# about: asyncio, and a pool of threads
# task: sum_of_squares
# expect: pass
import asyncio
from concurrent.futures import ThreadPoolExecutor


async def square(n):
    await asyncio.sleep(0)
    return n * n


def sum_of_squares(numbers):
    async def gather():
        return sum(await asyncio.gather(*map(square, numbers)))

    with ThreadPoolExecutor(2) as pool:
        return pool.submit(asyncio.run, gather()).result()
