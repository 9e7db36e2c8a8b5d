/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handle shells: how a closed, foreign or forked handle is recognised (API-1, api_impl.h).
 *
 * All shells of a kind have one size; ended ones wait on that kind's free list. One lock guards the
 * lists and the family links; it is held for a few instructions.
 */
#include "api/api_impl.h"

#include <string.h>

#define KINDS 5

static struct os_plain_mutex shells_lock = {PTHREAD_MUTEX_INITIALIZER};
static struct api_shell *free_shells[KINDS];

/* A transaction may begin or end in another thread at the moment of a fork. */
__attribute__((constructor)) static void guard_fork(void)
{
    os_plain_guard_fork(&shells_lock);
}

static unsigned kind_of(enum api_magic magic)
{
    return (unsigned)magic & 7u;
}

static void adopt(struct api_shell *owner, struct api_shell *shell)
{
    shell->owner = owner;
    shell->prev = NULL;
    shell->next = NULL;
    if (owner == NULL) {
        return;
    }
    shell->next = owner->children;
    if (owner->children != NULL) {
        owner->children->prev = shell;
    }
    owner->children = shell;
}

static void orphan(struct api_shell *shell)
{
    if (shell->next != NULL) {
        shell->next->prev = shell->prev;
    }
    if (shell->prev != NULL) {
        shell->prev->next = shell->next;
    } else if (shell->owner != NULL) {
        shell->owner->children = shell->next;
    }
    shell->owner = NULL;
}

void *api_shell_new(enum api_magic magic, size_t size, struct api_shell *owner)
{
    struct api_shell *shell;
    unsigned kind = kind_of(magic);

    base_assert(kind < KINDS);
    base_assert(size >= sizeof(*shell));
    os_plain_lock(&shells_lock);
    shell = free_shells[kind];
    if (shell != NULL) {
        free_shells[kind] = shell->next;
    } else {
        shell = base_alloc(size);
    }
    if (shell != NULL) {
        memset(shell, 0, size);
        shell->pid = os_pid();
        adopt(owner, shell);
        atomic_store(&shell->magic, (uint32_t)magic);
    }
    os_plain_unlock(&shells_lock);
    return shell;
}

void api_shell_end(struct api_shell *shell, enum api_magic magic)
{
    unsigned kind = kind_of(magic);

    base_assert(atomic_load(&shell->magic) == (uint32_t)magic);
    base_assert(shell->children == NULL);
    os_plain_lock(&shells_lock);
    atomic_store(&shell->magic, (uint32_t)API_MAGIC_FREE);
    orphan(shell);
    shell->inner = NULL;
    shell->next = free_shells[kind];
    free_shells[kind] = shell;
    os_plain_unlock(&shells_lock);
}

struct api_shell *api_shell_child(struct api_shell *shell)
{
    struct api_shell *child;

    os_plain_lock(&shells_lock);
    child = shell->children;
    os_plain_unlock(&shells_lock);
    return child;
}

bool api_shell_any(struct api_shell *shell, bool (*is_one)(const struct api_shell *child))
{
    bool found = false;

    os_plain_lock(&shells_lock);
    for (const struct api_shell *at = shell->children; at != NULL && !found; at = at->next) {
        found = is_one(at);
    }
    os_plain_unlock(&shells_lock);
    return found;
}

int api_enter(const void *handle, enum api_magic magic, const char *what)
{
    const struct api_shell *shell = handle;
    uint32_t found;

    if (shell == NULL) {
        return base_err_set(api_err(), INSTAR_EMISUSE, "the %s handle is NULL", what);
    }
    found = atomic_load_explicit(&shell->magic, memory_order_relaxed);
    if (found == (uint32_t)API_MAGIC_FREE) {
        return base_err_set(api_err(), INSTAR_EMISUSE, "the %s handle has ended already", what);
    }
    if (found != (uint32_t)magic) {
        return base_err_set(api_err(), INSTAR_EMISUSE, "this is not a %s handle", what);
    }
    if (shell->pid != os_pid()) {
        return base_err_set(api_err(), INSTAR_EFORKED,
                            "the %s handle belongs to process %d: open the store again after "
                            "fork()",
                            what, shell->pid);
    }
    return INSTAR_OK;
}

int api_enter_alone(void *handle, enum api_magic magic, const char *what)
{
    struct api_shell *shell = handle;
    int rc = api_enter(handle, magic, what);

    if (rc != INSTAR_OK) {
        return rc;
    }
    if (!api_take(shell)) {
        return base_err_set(api_err(), INSTAR_EMISUSE,
                            "the %s is in use by another thread at this moment", what);
    }
    return INSTAR_OK;
}

int api_need(const void *pointer, const char *what)
{
    if (pointer == NULL) {
        return base_err_set(api_err(), INSTAR_EMISUSE, "%s is NULL", what);
    }
    return INSTAR_OK;
}
