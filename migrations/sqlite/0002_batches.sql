-- The log: one row per record batch, only ever inserted at the end and deleted at the start of a partition.
-- The high watermark of a partition is the end of its last batch, or its log start if it has none.
create table batches (
    id                    integer primary key,
    topic_id              integer not null, -- no foreign key: the writer has looked, and a purge must not scan for it
    partition             integer not null,
    base_offset           integer not null,
    record_count          integer not null,
    append_time           integer not null, -- server clock, never falls within a partition: retention counts from it
    max_timestamp         integer not null, -- of the records' own timestamps
    running_max_timestamp integer not null, -- highest max_timestamp up to here: a seek by time searches it
    end_bytes             integer not null, -- bytes of the partition up to the end of this batch: sizes are differences
    payload               blob    not null  -- the sealed batch (src/model/batch.rs), checksum included
) strict;

create unique index batches_by_offset on batches (topic_id, partition, base_offset);
