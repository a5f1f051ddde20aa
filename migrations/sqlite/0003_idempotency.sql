-- Produce requests that carried an Idempotency-Key, written in the transaction of their records.
create table idempotency_keys (
    id          integer primary key, -- rises with time: the oldest are purged first
    digest      blob    not null,    -- of caller, method, path and key
    fingerprint blob    not null,    -- of all else that must be equal in a retry
    created_at  integer not null,
    runs        blob    not null,    -- which partitions were written, and from which offset on
    receipt     blob    not null     -- what the broker needs to give the same answer again
) strict;

create unique index idempotency_keys_by_digest on idempotency_keys (digest);
