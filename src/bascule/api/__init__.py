"""The ARM-compatible REST face: wire shapes, routes, error envelope, OAuth endpoints.

Lives here: what HTTP and ARM ask for (paths without regard to case, api-version, paging,
ETags, the error envelope, who may call which route). Does not: what a call means, which
is one use case of ``services`` each; SQL; how secrets and tokens are made (``identity``).

    app          the application put together
    context      what every route reaches: services, tokens, this installation
    auth         which kinds of principal a route takes, and the guard that sees to it
    arm_path     paths in one spelling before they are routed
    described    what the OpenAPI document says of every ARM call
    envelope     every error as ARM writes errors
    frame        headers, ids and the last net around each call
    wire         JSON to domain and back
    routes       one module a provider
    oauth, origin, server    tokens, whose address, the listening sockets
"""
