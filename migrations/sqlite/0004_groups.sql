-- A consumer group. Who is in it and who is to hold what change with compare-and-set on its version.
create table groups (
    id         integer primary key autoincrement, -- autoincrement: never used twice, a late change must miss
    name       text    not null,
    version    integer not null, -- changes of members and assignment so far
    last_epoch integer not null, -- the highest member epoch ever given
    strategy   text    not null
) strict;

create unique index groups_by_name on groups (name);

-- One row: where the epochs of a new group begin, so that one made anew under an old name gives none twice.
create table group_epochs (
    id         integer primary key check (id = 1),
    last_epoch integer not null -- the highest epoch of all groups that were deleted
) strict;

insert into group_epochs (id, last_epoch) values (1, 0);

-- A member by name, in its latest run. One whose run was ended stays for a while, so that its late calls can be told.
create table group_members (
    group_id     integer not null,
    member       text    not null,
    epoch        integer not null, -- tells its run from all others of the group
    subscription text    not null, -- {"topics":[..]} or {"topic_prefix":".."}
    lease_ms     integer not null,
    lease_end    integer,          -- server clock; null: the run was ended because its lease ran out
    ended_at     integer,          -- when that was
    primary key (group_id, member)
) strict, without rowid;

create index group_members_by_lease on group_members (lease_end) where lease_end is not null;
create index group_members_ended on group_members (ended_at) where ended_at is not null;

-- A partition as a group has it. Owner, epoch, lease and committed offset lie in one row, so that whoever takes it over
-- gets the offset of the very row that fences the former owner.
create table group_partitions (
    group_id         integer not null,
    topic_id         integer not null, -- no foreign key: a purge of the topic takes these rows along in slices
    partition        integer not null,
    assignee         text,             -- who is to hold it
    owner            text,             -- who holds it
    epoch            integer not null, -- rises by one whenever somebody begins to hold it
    lease_end        integer not null, -- of the owner, server clock; 0 without one
    committed_offset integer,          -- null until it is settled where the group begins
    metadata         text,             -- what the committer noted
    primary key (group_id, topic_id, partition)
) strict, without rowid;

create index group_partitions_by_owner on group_partitions (group_id, owner) where owner is not null;
create index group_partitions_by_assignee on group_partitions (group_id, assignee) where assignee is not null;
create index group_partitions_by_topic on group_partitions (topic_id);
-- Those that another waits for: looked through for leases that ran out.
create index group_partitions_leaving on group_partitions (lease_end)
    where owner is not null and assignee is not null and owner <> assignee;
