/* Which network addresses are public. */
#ifndef EXAONE_BASE_ADDRESS_H
#define EXAONE_BASE_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* Is this a globally reachable unicast address (IANA special-purpose registries, RFC 6890)? IPv4 inside IPv6 (mapped, NAT64,
 * 6to4) is judged by the IPv4 address. Other families: false. */
bool exaone_address_is_public(const struct sockaddr *address);

#endif
