"""The way out of the house: where the record is sent to, over HTTPS, syslog and files.

Lives here: resolving a receiver's name and judging every address that it has
(``domain.destinations``), connections, and what an answer means. Nothing else of Bascule
connects to a host that somebody else may name. Does not: which events, in which form, when
(``services.delivery``).

    resolve    a name's addresses, all of them allowed, or a refusal in words
    webhook    HTTPS POST to an address that was judged, with the name's certificate
    syslog     RFC 5425 (TLS), RFC 6587 (TCP, octet counting), RFC 5426 (UDP)
    lines      JSON lines appended to a file in one folder
    carriers   the three as one ``interfaces.delivery.Carrier``
"""
