"""What the cache costs, beside the plain client and RedisVL's cache, and with Redis down."""
