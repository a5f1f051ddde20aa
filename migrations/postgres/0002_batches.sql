-- The log: one row per record batch, only ever inserted at the end and deleted at the start of a partition.
create table batches (
    topic_id              bigint  not null, -- no foreign key: the append has looked, and a purge must not scan for it
    base_offset           bigint  not null,
    append_time           bigint  not null, -- database clock, never falls within a partition: retention counts from it
    max_timestamp         bigint  not null, -- of the records' own timestamps
    running_max_timestamp bigint  not null, -- highest max_timestamp up to here: a seek by time searches it
    end_bytes             bigint  not null, -- bytes of the partition up to the end of this batch: sizes are differences
    partition             integer not null,
    record_count          integer not null,
    payload               bytea   not null, -- the sealed batch (src/model/batch.rs), checksum included
    primary key (topic_id, partition, base_offset)
) with (
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_scale_factor = 0.05,
    toast.autovacuum_vacuum_cost_delay = 0
);

-- Outside of the row once it is large, and as it is: records are not worth a second compression.
alter table batches alter column payload set storage external;

-- Batches of a partition from the one that holds `from_offset` on, about `bytes_max` bytes of them but at least one. As
-- of one snapshot (it is stable), and it stops reading where it has enough.
create function tidegate_read(of_topic bigint, of_partition integer, from_offset bigint, bytes_max bigint)
returns table (base bigint, sealed bytea) language plpgsql stable as $$
declare
    found_bytes bigint := 0;
begin
    for base, sealed in
        select b.base_offset, b.payload from batches b
        where b.topic_id = of_topic and b.partition = of_partition
            and b.base_offset + b.record_count > from_offset
            -- The batch before may end where `from_offset` begins: it is found through the index, but not read.
            and b.base_offset >= coalesce((
                select l.base_offset from batches l
                where l.topic_id = of_topic and l.partition = of_partition and l.base_offset <= from_offset
                order by l.base_offset desc limit 1), 0)
        order by b.base_offset
    loop
        return next;
        found_bytes := found_bytes + octet_length(sealed);
        exit when found_bytes >= bytes_max;
    end loop;
end
$$;

-- Moves a log start up to `target`, never down and never past the end; returns where it stands. Under the partition's
-- lock every batch below its end is committed and seen.
create function tidegate_advance(of_topic bigint, of_partition integer, target bigint)
returns bigint language plpgsql as $$
declare
    stands partitions;
    goal bigint;
begin
    select p.* into stands from partitions p
    where p.topic_id = of_topic and p.partition = of_partition
        and exists (select 1 from topics t where t.id = of_topic and t.deleted_at is null)
    for update of p;
    if not found then
        return 0;
    end if;
    goal := least(target, stands.next_offset);
    if goal <= stands.log_start_offset then
        return stands.log_start_offset;
    end if;
    update partitions p set
        log_start_offset = goal,
        start_bytes = case when goal = stands.next_offset then stands.end_bytes else (
            select b.end_bytes - octet_length(b.payload) from batches b
            where b.topic_id = of_topic and b.partition = of_partition and b.base_offset <= goal
            order by b.base_offset desc limit 1) end
    where p.topic_id = of_topic and p.partition = of_partition;
    return goal;
end
$$;

-- Which of the nodes keeps the logs short. One row; a node that has not said for long that it still does gives way.
create table sweeps (
    id         integer primary key check (id = 1),
    node       bigint  not null, -- random
    held_until bigint  not null
) with (fillfactor = 50);

insert into sweeps (id, node, held_until) values (1, 0, 0);

-- Whether it is for that node to sweep, for so many milliseconds from now on: then the time, else null. Those who are not
-- to sweep change nothing.
create function tidegate_sweep(by_node bigint, for_ms bigint) returns bigint language plpgsql as $$
declare
    now_ms constant bigint := tidegate_now();
begin
    update sweeps set node = by_node, held_until = now_ms + for_ms
    where id = 1 and (
        node = by_node or held_until <= now_ms
        or held_until > now_ms + for_ms -- the clock was set back
    );
    return case when found then now_ms end;
end
$$;

-- A lane: one connection of one node that appends, one flush after the other. The row is how the node finds out about a
-- flush whose answer was lost. It raises the epoch, which waits for a flush that is about to commit and shuts out one that
-- comes late, and reads whether its flush is in, and at which offsets.
create table lanes (
    lane       bigint   primary key, -- random
    epoch      bigint   not null,
    last_flush bigint   not null,    -- numbered by the node, never twice
    touched_at bigint   not null,
    last_bases bigint[] not null     -- base offsets of the batches of the last flush
) with (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);
