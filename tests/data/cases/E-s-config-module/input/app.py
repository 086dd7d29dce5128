import config


def mode():
    return "debug" if config.DEBUG else "live"
