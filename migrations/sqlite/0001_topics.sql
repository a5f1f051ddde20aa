-- A topic. `incarnation` is random: what clients hold (cursors) names it, so that a topic made anew under an old name
-- is never taken for the old one. A deleted topic keeps its row until its batches are purged.
create table topics (
    id              integer primary key autoincrement, -- autoincrement: never used twice, batches may outlive the topic
    name            text    not null,
    incarnation     integer not null,
    partition_count integer not null check (partition_count > 0),
    former_partition_counts text not null default '', -- comma separated, oldest first: where older keys may lie
    retention_ms    integer,
    retention_bytes integer,
    created_at      integer not null,
    deleted_at      integer
) strict;

create unique index topics_by_name on topics (name) where deleted_at is null;
create index topics_deleted on topics (id) where deleted_at is not null;

-- Where a partition's log begins, once it no longer begins at 0. A partition without records has no row anywhere.
create table log_starts (
    topic_id         integer not null references topics (id),
    partition        integer not null,
    log_start_offset integer not null,
    primary key (topic_id, partition)
) strict, without rowid;
