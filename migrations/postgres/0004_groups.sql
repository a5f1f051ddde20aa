-- A consumer group. Who is in it and who is to hold what change with compare-and-set on its version. Its row is locked by
-- every transaction that changes anything of it.
create table groups (
    id         bigint generated always as identity primary key, -- never used twice, a late change must miss
    version    bigint not null, -- changes of members and assignment so far
    last_epoch bigint not null, -- the highest member epoch ever given
    name       text   not null collate "C",
    strategy   text   not null
);

create unique index groups_by_name on groups (name);

-- One row: where the epochs of a new group begin, so that one made anew under an old name gives none twice.
create table group_epochs (
    id         integer primary key check (id = 1),
    last_epoch bigint  not null -- the highest epoch of all groups that were deleted
);

insert into group_epochs (id, last_epoch) values (1, 0);

-- A member by name, in its latest run. One whose run was ended stays for a while, so that its late calls can be told.
create table group_members (
    group_id     bigint not null,
    epoch        bigint not null, -- tells its run from all others of the group
    lease_ms     bigint not null,
    lease_end    bigint,          -- database clock; null: the run was ended because its lease ran out
    ended_at     bigint,          -- when that was
    member       text   not null collate "C",
    subscription text   not null, -- {"topics":[..]} or {"topic_prefix":".."}
    primary key (group_id, member)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

create index group_members_by_lease on group_members (lease_end) where lease_end is not null;
create index group_members_ended on group_members (ended_at) where ended_at is not null;

-- A partition as a group has it. Owner, epoch, lease and committed offset lie in one row, so that whoever takes it over
-- gets the offset of the very row that fences the former owner.
create table group_partitions (
    group_id         bigint  not null,
    topic_id         bigint  not null, -- no foreign key: a purge of the topic takes these rows along in slices
    epoch            bigint  not null, -- rises by one whenever somebody begins to hold it
    lease_end        bigint  not null, -- of the owner, database clock; 0 without one
    committed_offset bigint,           -- null until it is settled where the group begins
    partition        integer not null,
    assignee         text collate "C", -- who is to hold it
    owner            text collate "C", -- who holds it
    metadata         bytea,            -- what the committer noted: UTF-8, with zeros if it likes
    primary key (group_id, topic_id, partition)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

create index group_partitions_by_owner on group_partitions (group_id, owner) where owner is not null;
create index group_partitions_by_assignee on group_partitions (group_id, assignee) where assignee is not null;
create index group_partitions_by_topic on group_partitions (topic_id);
-- Those that another waits for: looked through for leases that ran out.
create index group_partitions_leaving on group_partitions (lease_end)
    where owner is not null and assignee is not null and owner <> assignee;
