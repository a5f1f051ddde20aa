-- One row: whether callers have to say who they are, and what tickets are signed with.
create table access (
    id            integer primary key check (id = 1),
    version       integer not null, -- how often this table or the keys were changed
    is_on         integer not null, -- 1 from the first key on, and never 0 again
    ticket_secret blob              -- null until the first start after this migration
) strict;

insert into access (id, version, is_on) values (1, 0, 0);

-- An API key. Its secret is shown to whoever made it, and is not here.
create table api_keys (
    id          text    not null primary key,
    name        text    not null,
    digest      blob    not null, -- SHA-256 of the whole key
    permissions text    not null, -- [{"verb":"..","topic":"..","group":".."},..]
    limits      text    not null, -- {"requests_per_second":..,..}
    created_at  integer not null,
    expires_at  integer           -- null: it does not
) strict, without rowid;
