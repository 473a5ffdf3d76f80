"""Who is meant by a customer's id."""

from uuid import UUID


def one_spelling(customer_id: str) -> str:
    """The same for all spellings of a UUID, such as upper case or braces; any other id as it is.

    A column of type `uuid` takes them all for one customer.
    """
    try:
        return str(UUID(customer_id))
    except ValueError:
        return customer_id
