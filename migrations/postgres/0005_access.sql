-- One row: whether callers have to say who they are, and what tickets are signed with. Whoever changes a key locks it first.
create table access (
    id            integer primary key check (id = 1),
    version       bigint  not null, -- how often this table or the keys were changed: nodes look for what is new
    is_on         boolean not null, -- true from the first key on, and never false again
    ticket_secret bytea             -- null until the first start after this migration
);

insert into access (id, version, is_on) values (1, 0, false);

-- An API key. Its secret is shown to whoever made it, and is not here.
create table api_keys (
    created_at  bigint not null,
    expires_at  bigint, -- null: it does not
    id          text   not null collate "C" primary key,
    name        text   not null collate "C",
    digest      bytea  not null, -- SHA-256 of the whole key
    permissions text   not null, -- [{"verb":"..","topic":"..","group":".."},..]
    limits      text   not null  -- {"requests_per_second":..,..}
);
