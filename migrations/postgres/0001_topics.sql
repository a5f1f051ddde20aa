-- The one clock of all nodes, in milliseconds since the Unix epoch: as it is now, not as the transaction began.
create function tidegate_now() returns bigint language sql volatile as
    $$ select floor(extract(epoch from clock_timestamp()) * 1000)::bigint $$;

-- A topic. `incarnation` is random: what clients hold (cursors) names it, so that a topic made anew under an old name
-- is never taken for the old one. A deleted topic keeps its row until its batches are purged.
create table topics (
    id              bigint  generated always as identity primary key, -- never used twice, batches may outlive the topic
    incarnation     bigint  not null,
    retention_ms    bigint,
    retention_bytes bigint,
    created_at      bigint  not null,
    deleted_at      bigint,
    version         bigint  not null, -- of all topics, when this one was last changed: nodes look for what is new
    partition_count integer not null check (partition_count > 0),
    name            text    not null collate "C",
    former_partition_counts text not null default '' -- comma separated, oldest first: where older keys may lie
);

create unique index topics_by_name on topics (name) where deleted_at is null;
create index topics_deleted on topics (id) where deleted_at is not null;
create index topics_by_version on topics (version);

-- One row: the partitions of all living topics, and how often any topic was changed. Whoever makes, changes or deletes a
-- topic locks it first.
create table topic_totals (
    id              integer primary key check (id = 1),
    partition_count bigint  not null,
    version         bigint  not null
);

insert into topic_totals (id, partition_count, version) values (1, 0, 0);

-- The end and the start of a partition's log. This row is the gate: whoever appends holds it from the moment it takes
-- offsets until its batch is committed, so that every reader sees a prefix. It comes into being with the first append;
-- a partition that was never written has no row anywhere.
--
-- Every append leaves a dead version of it: it is narrow, leaves room on its page for the next version, has no column
-- that changes in an index, and is vacuumed early and without pauses.
create table partitions (
    topic_id              bigint  not null,
    next_offset           bigint  not null,
    log_start_offset      bigint  not null,
    append_time           bigint  not null, -- of the last batch
    running_max_timestamp bigint  not null, -- highest timestamp of all records so far
    end_bytes             bigint  not null, -- bytes of all batches so far
    start_bytes           bigint  not null, -- of those that lie before what is kept: the size is the difference
    partition             integer not null,
    primary key (topic_id, partition)
) with (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);
