create extension amcheck;
create table witness (client integer, number bigint, primary key (client, number));
create table event (id bigserial primary key, happened timestamptz default now(), kind integer, note text);
