/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api: the layer behind instar.h. Nothing stands above it inside the library, so this header only
 * points there; what its files share is in api_impl.h.
 */
#ifndef INSTAR_API_H
#define INSTAR_API_H

#include <instar.h>

#endif
