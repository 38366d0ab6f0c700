-- What the games of this folder are played on; each begins with it anew.
drop schema if exists public, other, "My Schema" cascade;
create schema public;
create schema other;
create schema "My Schema";
grant usage on schema public, other to reader;

create table public.shared (id int primary key, v text);
insert into public.shared select i, 'row ' || i from generate_series(1, 5) as i;
create table public.items (id serial primary key, what text default 'thing');
create table public.wide (a int default 7);
insert into public.wide values (7);
create table other.shared (id int, w text);
insert into other.shared values (77, 'other');
create sequence public.steps;
create sequence public.leaps increment 10;
grant select on public.shared, other.shared to reader;

create function public.twice(int) returns int language sql immutable as 'select 2 * $1';
create function public.who() returns text language sql stable as
    'select current_user || '' '' || session_user';
create function public.notes(text) returns text language plpgsql as
    $$ begin raise notice 'noted: %', $1; raise warning 'warned: %', $1; return $1; end $$;
create function public.fails(text) returns text language plpgsql as
    $$ begin raise exception 'failed: %', $1 using hint = 'that is all', errcode = 'P0007'; end $$;
create function public.sets(text, text) returns text language plpgsql as
    $$ begin perform set_config($1, $2, false); return current_setting($1); end $$;
create function public.wears(text) returns text language plpgsql set work_mem = '6MB' as
    $$ begin return current_setting($1); end $$;
create function public.makes() returns int language plpgsql as
    $$ begin create temp table if not exists made (a int); insert into made values (1);
       return (select count(*) from made); end $$;
create function public.locks(int) returns bool language plpgsql as
    $$ begin return pg_try_advisory_lock($1); end $$;
create function public.adds(text) returns int language sql as
    'insert into public.items (what) values ($1) returning id';
create procedure public.set_it(text, text) language plpgsql as
    $$ begin perform set_config($1, $2, false); end $$;
create procedure public.ends() language plpgsql as
    $$ begin insert into public.items (what) values ('before'); commit;
       insert into public.items (what) values ('after'); rollback; end $$;
create procedure public.listens() language plpgsql as $$ begin execute 'listen by_call'; end $$;
create procedure public.makes_it() language plpgsql as
    $$ begin create temp table if not exists called (a int); end $$;
