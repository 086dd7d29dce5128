import random
import numpy as np


def set_seed(n):
    random.seed(n)
    np.random.seed(n)
