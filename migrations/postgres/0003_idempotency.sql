-- Produce requests that carried an Idempotency-Key, written in the transaction of their records.
create table idempotency_keys (
    digest       bytea     primary key, -- of caller, method, path and key
    created_at   bigint    not null,
    fingerprint  bytea     not null,    -- of all else that must be equal in a retry
    topic_ids    bigint[]  not null,    -- which partitions were written
    partitions   integer[] not null,
    base_offsets bigint[]  not null,    -- and from which offset on
    receipt      bytea     not null     -- what the broker needs to give the same answer again
);

create index idempotency_keys_by_age on idempotency_keys (created_at);

-- Append: all batches and keys of one flush, or nothing. One call in autocommit, so that a node that is paused holds no
-- lock; the order of locks is partitions (by topic and number), keys (by digest), lane.
--
-- A batch is an index into the first five arrays, from 1; a key is one into the next three. The `run_` arrays say what
-- each key's write was: runs in order, of which key, in which batch, behind how many of its records.
--
-- Errors of our own, of which each undoes everything: TG001 these batches (in the detail, by index) are for partitions
-- that do not exist; TG002 a partition went away meanwhile; TG003 these keys are taken; TG004 the lane was raised or is
-- gone.
create function tidegate_append(
    of_lane bigint, of_epoch bigint, of_flush bigint,
    topic_ids bigint[], numbers integer[], counts integer[], timestamps bigint[], payloads bytea[],
    digests bytea[], fingerprints bytea[], receipts bytea[], keys_kept_ms bigint,
    run_keys integer[], run_batches integer[], run_befores bigint[]
) returns bigint[] language plpgsql as $$
declare
    now_ms constant bigint := tidegate_now();
    batch_count constant integer := cardinality(topic_ids);
    oldest_key constant bigint := now_ms - keys_kept_ms;
    unknown integer[];
    taken integer[];
    any_new boolean;
    bases bigint[];
begin
    -- A deletion that commits from here on may come before this append or after it: nobody can tell.
    select array_agg(g.at::integer order by g.at) filter (where t.id is null),
           bool_or(t.id is not null and p.topic_id is null)
    into unknown, any_new
    from unnest(topic_ids, numbers) with ordinality g (topic_id, partition, at)
    left join topics t on t.id = g.topic_id and t.deleted_at is null and g.partition < t.partition_count
    left join partitions p on p.topic_id = g.topic_id and p.partition = g.partition;
    if unknown is not null then
        raise exception 'unknown partitions' using errcode = 'TG001', detail = array_to_string(unknown, ',');
    end if;

    if any_new then
        -- Before any other lock. The topics stay as they are until this is over: a purge that has seen a topic deleted
        -- finds all rows that its partitions will ever have.
        perform from topics t where t.id = any (topic_ids) and t.deleted_at is null order by t.id for share;
        insert into partitions
            (topic_id, partition, next_offset, log_start_offset, append_time, running_max_timestamp, end_bytes, start_bytes)
        select g.topic_id, g.partition, 0, 0, 0, 0, 0, 0
        from unnest(topic_ids, numbers) g (topic_id, partition)
        where exists (select 1 from topics t where t.id = g.topic_id and t.deleted_at is null)
            and not exists (select 1 from partitions p where p.topic_id = g.topic_id and p.partition = g.partition)
        order by g.topic_id, g.partition
        on conflict do nothing;
    end if;

    if batch_count > 1 then
        -- An `update` of many rows locks them in no fixed order.
        perform from partitions p
        join unnest(topic_ids, numbers) g (topic_id, partition)
            on p.topic_id = g.topic_id and p.partition = g.partition
        order by p.topic_id, p.partition for update of p;
    end if;
    with moved as (
        update partitions p set
            next_offset = p.next_offset + g.record_count,
            append_time = greatest(p.append_time, now_ms),
            running_max_timestamp = greatest(p.running_max_timestamp, g.max_timestamp),
            end_bytes = p.end_bytes + octet_length(g.payload)
        from unnest(topic_ids, numbers, counts, timestamps, payloads) with ordinality
            g (topic_id, partition, record_count, max_timestamp, payload, at)
        where p.topic_id = g.topic_id and p.partition = g.partition
        returning g.at, p.topic_id, p.partition, p.next_offset - g.record_count as base_offset, g.record_count,
            p.append_time, g.max_timestamp, p.running_max_timestamp, p.end_bytes, g.payload
    ), stored as (
        insert into batches
            (topic_id, partition, base_offset, record_count, append_time, max_timestamp, running_max_timestamp,
             end_bytes, payload)
        select topic_id, partition, base_offset, record_count, append_time, max_timestamp, running_max_timestamp,
            end_bytes, payload
        from moved
    )
    select array_agg(moved.base_offset order by moved.at) into bases from moved;
    if cardinality(bases) is distinct from batch_count then
        raise exception 'a partition went away' using errcode = 'TG002';
    end if;

    if cardinality(digests) > 0 then
        -- Keys that no longer count make room: they are too old, or a topic that they wrote to is gone.
        delete from idempotency_keys where digest in (
            select k.digest from idempotency_keys k
            where k.digest = any (digests) and (k.created_at < oldest_key or exists (
                select 1 from unnest(k.topic_ids) w (id)
                where not exists (select 1 from topics t where t.id = w.id and t.deleted_at is null)))
            order by k.digest for update);
        -- A key that another flush is about to commit is waited for: no longer than that commit takes.
        with used as (
            select r.key, array_agg(topic_ids[r.batch] order by r.at) as topic_ids,
                array_agg(numbers[r.batch] order by r.at) as partitions,
                array_agg(bases[r.batch] + r.before order by r.at) as base_offsets
            from unnest(run_keys, run_batches, run_befores) with ordinality r (key, batch, before, at)
            group by r.key
        ), stored as (
            insert into idempotency_keys
                (digest, created_at, fingerprint, topic_ids, partitions, base_offsets, receipt)
            select k.digest, now_ms, k.fingerprint, used.topic_ids, used.partitions, used.base_offsets, k.receipt
            from unnest(digests, fingerprints, receipts) with ordinality k (digest, fingerprint, receipt, at)
            join used on used.key = k.at
            order by k.digest
            on conflict (digest) do nothing
            returning digest
        )
        select array_agg(k.at::integer order by k.at) into taken
        from unnest(digests) with ordinality k (digest, at)
        where not exists (select 1 from stored where stored.digest = k.digest);
        if taken is not null then
            raise exception 'keys were used before' using errcode = 'TG003', detail = array_to_string(taken, ',');
        end if;
    end if;

    update lanes set last_flush = of_flush, last_bases = bases, touched_at = now_ms
    where lane = of_lane and epoch = of_epoch;
    if not found then
        raise exception 'the lane was raised' using errcode = 'TG004';
    end if;
    return bases;
end
$$;
