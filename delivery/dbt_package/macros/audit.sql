{#
    The audit tables, written by every dbt command that builds or tests. run_results.json holds only the last command's
    word and is overwritten by an empty one; these tables are kept, in the warehouse, beside the rows they speak of.

    build_log       at the start one row per model, seed and snapshot selected (phase start); at the end one row per result
                    (phase end). A start without an end is a build that was killed. started_at: of the command; began_at
                    and ended_at: of the node itself. Of a test, fingerprint says how it was defined, speaks_of on what;
                    of a seed, fingerprint is its file's; of a model, of what it is made; speaks_of then is its table.
                    command: with a sign for the variables that it was given, but for those that choose days.
    build_days      the days that each growing model built, and those that ended since its build before and have no rows.
    build_failures  how many failing rows a test found, by namespace and day; NULL where the rows do not say.
#}

{% macro audit_table(name) -%}
    {{ return(api.Relation.create(database=target.database or none, schema=target.schema, identifier=name)) }}
{%- endmacro %}


{% macro is_audited() -%}
    {{ return(execute and invocation_args_dict.which in ['build', 'run', 'test', 'seed', 'snapshot', 'retry', 'freshness']) }}
{%- endmacro %}


{# A run that is no proof: it built from nothing, from a sample, or from another schema's tables. #}
{% macro is_partial() -%}
    {%- set args = invocation_args_dict -%}
    {{ return((args.get('empty') or args.get('sample') or args.get('defer') or false) and true) }}
{%- endmacro %}


{# The command, with a sign for its variables: what a test asks may be less with others. Those that choose days are said elsewhere. #}
{% macro command_given() -%}
    {%- set given = {} -%}
    {%- for name, value in (invocation_args_dict.get('vars') or {}).items() -%}
        {%- do given.update({name: value | string}) if name not in ['rebuild_from', 'rebuild_to', 'test_all_days'] -%}
    {%- endfor -%}
    {{ return(invocation_args_dict.which ~ (' --vars ' ~ local_md5(tojson(given, sort_keys=true)) if given else '')) }}
{%- endmacro %}


{% macro started_at() -%}
    timestamp '{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}'
{%- endmacro %}


{# What a project asks before anything of a command is on record: it defines default__check_first, which may raise. #}
{% macro check_first() -%}
    {{ return(adapter.dispatch('check_first', 'dbt_delivery')()) }}
{%- endmacro %}

{% macro default__check_first() -%}
{%- endmacro %}


{# dbt makes the schemas of models; where each of them has one of its own, nobody made the target's. #}
{% macro create_audit_schema() -%}
    {%- if dbt_delivery.is_audited() and not adapter.check_schema_exists(target.database, target.schema) -%}
        {%- do adapter.create_schema(dbt_delivery.audit_table('build_log').without_identifier()) -%}
    {%- endif -%}
{%- endmacro %}


{% macro create_build_log() -%}
    {%- if dbt_delivery.is_audited() -%}
        create table if not exists {{ dbt_delivery.audit_table('build_log') }} (
            invocation_id {{ dbt.type_string() }},
            started_at timestamp,
            phase {{ dbt.type_string() }},
            command {{ dbt.type_string() }},
            partial boolean,
            unique_id {{ dbt.type_string() }},
            resource_type {{ dbt.type_string() }},
            status {{ dbt.type_string() }},
            failures bigint,
            whole_table boolean,
            message {{ dbt.type_string() }},
            began_at timestamp,
            ended_at timestamp,
            fingerprint {{ dbt.type_string() }},
            speaks_of {{ dbt.type_string() }}
        )
    {%- endif -%}
{%- endmacro %}


{% macro create_build_days() -%}
    {%- if dbt_delivery.is_audited() -%}
        create table if not exists {{ dbt_delivery.audit_table('build_days') }} (
            invocation_id {{ dbt.type_string() }},
            started_at timestamp,
            unique_id {{ dbt.type_string() }},
            event_day date,
            ended_at timestamp
        ) {{ dbt_delivery.parts_of_days() }}
    {%- endif -%}
{%- endmacro %}


{% macro create_build_failures() -%}
    {%- if dbt_delivery.is_audited() -%}
        create table if not exists {{ dbt_delivery.audit_table('build_failures') }} (
            invocation_id {{ dbt.type_string() }},
            unique_id {{ dbt.type_string() }},
            namespace {{ dbt.type_string() }},
            event_day date,
            failures bigint
        )
    {%- endif -%}
{%- endmacro %}


{# Tables of an earlier release get the columns that came later; what they hold of old is NULL there. #}
{% macro widen_audit_tables() -%}
    {%- set columns = {
        'build_log': [
            ('began_at', 'timestamp'), ('ended_at', 'timestamp'),
            ('fingerprint', dbt.type_string()), ('speaks_of', dbt.type_string())
        ],
        'build_days': [('ended_at', 'timestamp')]
    } -%}
    {%- if dbt_delivery.is_audited() -%}
        {%- for name, wanted in columns.items() -%}
            {%- set there = get_columns_in_query('select * from ' ~ dbt_delivery.audit_table(name)) | map('lower') | list -%}
            {%- set missing = [] -%}
            {%- for column, type in wanted if column not in there -%}
                {%- do missing.append(api.Column(column, type)) -%}
            {%- endfor -%}
            {%- do alter_relation_add_remove_columns(dbt_delivery.audit_table(name), missing, none) if missing -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{# Versions of days are times: a clock that went back would hide new rows. #}
{% macro check_clock() -%}
    {%- if dbt_delivery.is_audited() -%}
        {%- set last = run_query(
            'select started_at, invocation_id, command from ' ~ dbt_delivery.audit_table('build_log') ~ ' order by started_at desc limit 1'
        ).rows -%}
        {%- if last and last[0][0] >= run_started_at.replace(tzinfo=none) -%}
            {%- do exceptions.raise_compiler_error(
                'The clock went back: build_log has `dbt ' ~ last[0][2] ~ '` ' ~ last[0][1] ~ ' begin at ' ~ last[0][0]
                ~ ' UTC, and this command began at ' ~ run_started_at ~ '. Nothing was built. Set the clock right, or wait. '
                ~ 'If the clock was ahead then, take that command back and build what it built anew: dbt run-operation '
                ~ "take_back --args '{invocation_id: " ~ last[0][1] ~ "}'"
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{#
    Forgets a command that ran while the clock was ahead. Tables that it made hold its times, too, so those that grow are
    dropped: the next `dbt build` makes them anew. The others hold its rows until then, which the log says, as of a build
    that began and did not end. Run it for each such command.
#}
{% macro take_back(invocation_id) -%}
    {%- set its = dbt_delivery.quoted([invocation_id]) -%}
    {%- set found = run_query(
        'select distinct unique_id from ' ~ dbt_delivery.audit_table('build_log') ~ ' where invocation_id = ' ~ its
    ).columns[0].values() -%}
    {%- if not found -%}
        {%- do exceptions.raise_compiler_error('build_log has no command ' ~ invocation_id ~ '.') -%}
    {%- endif -%}
    {%- set dropped = [] -%}
    {%- for unique_id in found if (graph.nodes.get(unique_id) or {}).get('config', {}).get('materialized') == 'incremental' -%}
        {%- set node = graph.nodes[unique_id] -%}
        {%- do dbt_delivery.drop_grown(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)) -%}
        {%- do dropped.append(node.name) -%}
    {%- endfor -%}
    {%- for name in ['build_log', 'build_days', 'build_failures'] -%}
        {{ dbt_delivery.forget_command(dbt_delivery.audit_table(name), its) }}
    {%- endfor -%}
    {%- set left = [] -%}
    {%- for unique_id in found if unique_id.split('.')[0] in ['model', 'seed', 'snapshot'] -%}
        {%- do left.append(dbt_delivery.log_row('start', unique_id, 'taken back')) -%}
    {%- endfor -%}
    {%- do dbt_delivery.log_apart(dbt_delivery.log_insert(left)) if left -%}
    {%- do log('Taken back: ' ~ invocation_id ~ '. Dropped: ' ~ (dropped | join(', ') or 'nothing')
        ~ '. Now run `dbt build`.', info=true) -%}
{%- endmacro %}


{# Growing models that were dropped by hand, or are to be built anew: they have no days any more. #}
{% macro dropped_models() -%}
    {%- set dropped = [] -%}
    {%- for name in dbt_delivery.growing_models() -%}
        {%- set unique_id = 'model.' ~ project_name ~ '.' ~ name -%}
        {%- set node = graph.nodes[unique_id] -%}
        {%- set relation = adapter.get_relation(node.database, node.schema, node.alias) -%}
        {%- set is_anew = flags.FULL_REFRESH and unique_id in selected_resources -%}
        {%- do dropped.append(unique_id) if not relation or relation.is_view or is_anew -%}
    {%- endfor -%}
    {{ return(dropped) }}
{%- endmacro %}


{% macro forget_dropped_models() -%}
    {%- set dropped = dbt_delivery.dropped_models() if dbt_delivery.is_audited() -%}
    {%- if dropped -%}
        {{ dbt_delivery.forget_days(dropped) }}
    {%- endif -%}
{%- endmacro %}


{# A view of days due knows what was forgotten; a table of them, which this command does not build, has to be told. #}
{% macro tell_days_due() -%}
    {%- set unique_id = 'model.' ~ project_name ~ '.int_days_due' -%}
    {%- set node = graph.nodes.get(unique_id) if dbt_delivery.is_audited() and unique_id not in selected_resources -%}
    {%- set due = adapter.get_relation(node.database, node.schema, node.alias) if node -%}
    {%- set dropped = dbt_delivery.dropped_models() if due and not due.is_view -%}
    {%- if dropped -%}
        insert into {{ due }} (model, event_day, due_since)
        {%- for unique_id in dropped %}
        select
            '{{ unique_id.split('.')[-1] }}' as model,
            event_day,
            max(loaded_at) as due_since
        from {{ dbt_delivery.audit_table('int_raw_days') }}
        where event_day not in (select event_day from {{ due }} where model = '{{ unique_id.split('.')[-1] }}')
        group by event_day
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    {%- endif -%}
{%- endmacro %}


{% macro log_start() -%}
    {%- set rows = [] -%}
    {%- if dbt_delivery.is_audited() -%}
        {%- for unique_id in selected_resources if unique_id.split('.')[0] in ['model', 'seed', 'snapshot'] -%}
            {%- do rows.append(dbt_delivery.log_row('start', unique_id, 'selected')) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ dbt_delivery.log_insert(rows) }}
{%- endmacro %}


{% macro log_end(results) -%}
    {%- set rows = [] -%}
    {%- if dbt_delivery.is_audited() -%}
        {#- A source that could not be asked gave no answer: the one before it stands. -#}
        {%- for result in results if result.node.unique_id.split('.')[0] != 'operation' and result.status | string != 'runtime error' -%}
            {%- do rows.append(dbt_delivery.log_row(
                'end', result.node.unique_id, result.status | string, result.failures, dbt_delivery.is_whole_table(result.node),
                result.max_loaded_at or dbt_delivery.failing_rows(result) or dbt_delivery.without_rows(result.message), result
            )) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ dbt_delivery.log_insert(rows) }}
{%- endmacro %}


{#
    What a failing test with `config.meta.explain` found: those columns of its first rows, said at once and kept in the
    log. Only columns that name a place may be listed there, never an address.
#}
{% macro failing_rows(result) -%}
    {%- set columns = (result.node.config.meta or {}).get('explain') -%}
    {%- if not columns or result.status | string != 'fail' -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set found = run_query(
        'select ' ~ columns | join(', ') ~ ' from (' ~ result.node.compiled_code ~ ') as failing order by '
        ~ columns | join(', ') ~ ' limit 20'
    ) -%}
    {%- set lines = [] -%}
    {%- for row in found.rows -%}
        {%- set cells = [] -%}
        {%- for column in columns -%}
            {%- do cells.append(column | replace('_', ' ') ~ ' ' ~ row[loop.index0]) -%}
        {%- endfor -%}
        {%- do lines.append(cells | join(', ')) -%}
    {%- endfor -%}
    {%- do log(result.node.name ~ ': ' ~ lines | join('; '), info=true) -%}
    {{ return(lines | join('; ')) }}
{%- endmacro %}


{#
    Of whom and of which days the failing rows of each test are: the gate refuses those only. Before the results are logged:
    a test that may warn looks no more at the days of which the log has its warning.
#}
{% macro log_failures(results) -%}
    {%- set rows = [] -%}
    {%- if dbt_delivery.is_audited() -%}
        {%- for result in results if result.node.unique_id.split('.')[0] == 'test' and result.status | string in ['fail', 'warn'] -%}
            {%- set columns = get_columns_in_query(result.node.compiled_code) | map('lower') | list -%}
            {%- set kept = ['namespace', 'event_day'] | select('in', columns) | list -%}
            {%- if kept -%}
                {%- set found = run_query(
                    'select ' ~ kept | join(', ') ~ ', count(*) as failures from (' ~ result.node.compiled_code
                    ~ ') as failing group by ' ~ kept | join(', ')
                ) -%}
                {%- for row in found.rows -%}
                    {%- set of = dict(zip(kept, row.values())) -%}
                    {%- do rows.append('(' ~ [
                        "'" ~ invocation_id ~ "'", "'" ~ result.node.unique_id ~ "'",
                        'null' if of.get('namespace') is none else dbt_delivery.quoted([of['namespace']]),
                        'null' if of.get('event_day') is none else "date '" ~ (of['event_day'] | string)[:10] ~ "'",
                        row[-1] | int
                    ] | join(', ') ~ ')') -%}
                {%- endfor -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if rows -%}
        insert into {{ dbt_delivery.audit_table('build_failures') }} (invocation_id, unique_id, namespace, event_day, failures)
        values {{ rows | join(', ') }}
    {%- endif -%}
{%- endmacro %}


{# What is due when a command ends is what it built: nothing is due any more once this is written. #}
{% macro log_days(results) -%}
    {%- set built = {} -%}
    {%- if dbt_delivery.is_audited() and not dbt_delivery.is_partial() -%}
        {%- set growing = dbt_delivery.growing_models() -%}
        {%- for result in results if result.status | string == 'success' and result.node.name in growing -%}
            {%- do built.update({result.node.name: result}) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set rows = [] -%}
    {%- if built -%}
        {%- set due = dbt_delivery.query_days(
            'select model, event_day from ' ~ dbt_delivery.audit_table('int_days_due')
            ~ ' where model in (' ~ dbt_delivery.quoted(built.keys() | list) ~ ')'
        ) -%}
        {%- for name, day in due + dbt_delivery.empty_days(built.keys() | list, due) -%}
            {%- do rows.append(
                "('" ~ invocation_id ~ "', " ~ dbt_delivery.started_at() ~ ", '" ~ built[name].node.unique_id
                ~ "', date '" ~ day ~ "', " ~ dbt_delivery.time_of(built[name].timing, 'completed_at') ~ ')'
            ) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if rows -%}
        insert into {{ dbt_delivery.audit_table('build_days') }} (invocation_id, started_at, unique_id, event_day, ended_at)
        values {{ rows | join(', ') }}
    {%- endif -%}
{%- endmacro %}


{# What a query finds, as pairs of texts: the name of a model, in whatever way it is said, and a day. #}
{% macro query_days(query) -%}
    {%- set found = [] -%}
    {%- for model, day in run_query(query).rows -%}
        {%- do found.append((model.split('.')[-1], (day | string)[:10])) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#
    The days that a build proves to be empty: those that ended since the model was last built, or that were asked for, and
    of which no build has anything on record. Of days before its first build nobody knows whether anything was to come.
#}
{% macro empty_days(names, due) -%}
    {%- set day = modules.datetime.timedelta(days=1) -%}
    {%- set yesterday = run_started_at.date() - day -%}
    {%- set asked = [] -%}
    {%- if var('rebuild_from', none) and var('rebuild_to', none) -%}
        {%- set until = modules.datetime.date.fromisoformat(var('rebuild_to') | string) -%}
        {%- do asked.append((modules.datetime.date.fromisoformat(var('rebuild_from') | string), [until, yesterday] | min)) -%}
    {%- endif -%}
    {%- set lasts = [] -%}
    {%- for name in names -%}
        {%- set unique_id = 'model.' ~ project_name ~ '.' ~ name -%}
        {%- do lasts.append("select '" ~ name ~ "' as model, " ~ dbt_delivery.last_success(unique_id) ~ ' as last_success') -%}
    {%- endfor -%}
    {%- set ranges = [] -%}
    {%- for name, last in run_query(lasts | join(' union all ')).rows -%}
        {%- for first, until in asked + ([(last.date(), yesterday)] if last.year > 1970 else []) if first <= until -%}
            {%- do ranges.append((name, first, until)) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set found = [] -%}
    {%- if ranges -%}
        {%- set known = due + dbt_delivery.query_days(
            'select distinct unique_id, event_day from ' ~ dbt_delivery.audit_table('build_days')
            ~ " where event_day >= date '" ~ (ranges | map(attribute=1) | min) ~ "'"
        ) -%}
        {%- for name, first, until in ranges -%}
            {%- for n in range((until - first).days + 1) -%}
                {%- set one = (name, (first + n * day).isoformat()) -%}
                {%- do found.append(one) if one not in known and one not in found -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}


{# Whether a result speaks of all days: it was not bounded, or the bound was off. #}
{% macro is_whole_table(node) -%}
    {%- set bounded = '__rebuilt_days__' in (node.config.get('where') or '')
        or (node.config.meta or {}).get('bounded_by') == 'event_day' -%}
    {{ return(not bounded or var('test_all_days', false) or flags.FULL_REFRESH) }}
{%- endmacro %}


{# What a database says of an error, as the log keeps it: below its first line PostgreSQL quotes the row at which it stopped. #}
{% macro without_rows(message) -%}
    {%- set lines = (message or '') | string -%}
    {{ return(lines.split('\n')[:2] | join('\n') if lines.startswith('Database Error') else message) }}
{%- endmacro %}


{% macro log_row(phase, unique_id, status, failures=none, whole_table=false, message=none, result=none) -%}
    {%- set node = result.node if result else none -%}
    {%- set cells = [
        "'" ~ invocation_id ~ "'", dbt_delivery.started_at(), "'" ~ phase ~ "'", "'" ~ dbt_delivery.command_given() ~ "'",
        (dbt_delivery.is_partial() or dbt_delivery.is_some_batches(node)) | string | lower,
        "'" ~ unique_id ~ "'", "'" ~ unique_id.split('.')[0] ~ "'", "'" ~ status ~ "'",
        'null' if failures is none else failures, whole_table | string | lower,
        'null' if not message else dbt_delivery.quoted([(message | string)[:1000] | replace('\\', '/')]),
        dbt_delivery.time_of(result.timing if result else [], 'started_at'),
        dbt_delivery.time_of(result.timing if result else [], 'completed_at'),
        'null' if not node else "'" ~ dbt_delivery.fingerprint(node) ~ "'",
        'null' if not node else dbt_delivery.quoted([dbt_delivery.spoken_of(node)])
    ] -%}
    {{ return('(' ~ cells | join(', ') ~ ')') }}
{%- endmacro %}


{# Of a test, the node that it is of, or all that it reads; of what is built, its table. #}
{% macro spoken_of(node) -%}
    {%- if node.unique_id.split('.')[0] == 'test' -%}
        {{ return(node.attached_node or node.depends_on.nodes | sort | join(' ')) }}
    {%- endif -%}
    {{ return(((node.database or '') ~ '.' ~ (node.schema or '') ~ '.' ~ (node.alias or node.name)) | lower) }}
{%- endmacro %}


{# Whether a model that is built by batches was asked for some of them. #}
{% macro is_some_batches(node) -%}
    {%- set args = invocation_args_dict -%}
    {{ return(true if node and node.config.get('incremental_strategy') == 'microbatch'
        and (args.get('event_time_start') or args.get('event_time_end')) else false) }}
{%- endmacro %}


{#
    How a test is defined, its macros with it, or what is in a seed's file, or what a model is made of;
    delivery/gate/lineage.py computes the same from the manifest. A test's arguments are in its unique id.
#}
{% macro fingerprint(node) -%}
    {%- set kind = node.unique_id.split('.')[0] -%}
    {%- if kind == 'seed' -%}
        {{ return(node.checksum.checksum) }}
    {%- elif kind in ['model', 'snapshot'] -%}
        {{ return(local_md5(graph.nodes[node.unique_id].depends_on.nodes | sort | join('|'))) }}
    {%- elif kind != 'test' -%}
        {{ return('') }}
    {%- endif -%}
    {%- set parts = [node.raw_code] -%}
    {%- for key in ['where', 'limit', 'severity', 'warn_if', 'error_if', 'fail_calc'] -%}
        {%- do parts.append((node.config.get(key) or '') | string | lower) -%}
    {%- endfor -%}
    {{ return(local_md5((parts + dbt_delivery.rules_of(node)) | join('|'))) }}
{%- endmacro %}


{#
    The macros that a test names, what bounds it, and what those call, as they are written; dbt's own are dbt's to answer for.
    Of a test that dbt brings, the project's own form (`default__test_unique`) is one of them: dbt calls it, and no manifest says so.
    Its depends_on has more by the time that it has run: what dbt calls itself.
#}
{% macro rules_of(test) -%}
    {%- set of_dbt = ['dbt', 'dbt_duckdb', 'dbt_postgres', 'dbt_spark'] -%}
    {%- set named = ['macro.' ~ project_name ~ '.get_where_subquery'] if test.attached_node else [] -%}
    {%- for unique_id in test.depends_on.macros if unique_id.split('.')[-1] in test.raw_code -%}
        {%- do named.append(unique_id) -%}
        {%- if unique_id.split('.')[1] in of_dbt -%}
            {%- for form in context.get(project_name) or {} if form.endswith('__' ~ unique_id.split('.')[-1]) -%}
                {%- do named.append('macro.' ~ project_name ~ '.' ~ form) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set found = {} -%}
    {#- The list grows while it is walked. -#}
    {%- for unique_id in named if unique_id not in found -%}
        {%- set package, name = unique_id.split('.')[1:] -%}
        {%- set macro = (context.get(package) or {}).get(name) -%}
        {%- if macro and package not in of_dbt -%}
            {%- do found.update({unique_id: macro.macro.macro_sql}) -%}
            {%- do named.extend(macro.macro.depends_on.macros) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set texts = [] -%}
    {%- for unique_id in found | sort -%}
        {%- do texts.append(found[unique_id]) -%}
    {%- endfor -%}
    {{ return(texts) }}
{%- endmacro %}


{# The first or last time in a result's timing, as a literal; of what was skipped, NULL. #}
{% macro time_of(timing, name) -%}
    {%- set times = timing | map(attribute=name) | select | list -%}
    {%- if not times -%}
        {{ return('cast(null as timestamp)') }}
    {%- endif -%}
    {%- set time = (times | min) if name == 'started_at' else (times | max) -%}
    {{ return("timestamp '" ~ time.strftime('%Y-%m-%d %H:%M:%S.%f') ~ "'") }}
{%- endmacro %}


{% macro log_insert(rows) -%}
    {%- if rows -%}
        insert into {{ dbt_delivery.audit_table('build_log') }} (
            invocation_id, started_at, phase, command, partial, unique_id, resource_type, status, failures, whole_table,
            message, began_at, ended_at, fingerprint, speaks_of
        )
        values {{ rows | join(', ') }}
    {%- endif -%}
{%- endmacro %}


{# When a model last succeeded in a run that was no partial one, and none was since. #}
{% macro last_success(unique_id) -%}
    (
        select coalesce(max(started_at), timestamp '1970-01-01 00:00:00')
        from {{ dbt_delivery.audit_table('build_log') }}
        where unique_id = '{{ unique_id }}' and phase = 'end' and status = 'success'
            and started_at > {{ dbt_delivery.last_partial(unique_id) }}
    )
{%- endmacro %}


{# When a partial run last began on a model: what was built before then may be gone. #}
{% macro last_partial(unique_id) -%}
    (
        select coalesce(max(started_at), timestamp '1970-01-01 00:00:00')
        from {{ dbt_delivery.audit_table('build_log') }}
        where unique_id = '{{ unique_id }}' and partial
    )
{%- endmacro %}


{# Each growing model by name, with the names of itself and of the growing models above it, through whatever lies between. #}
{% macro growing_models() -%}
    {%- set growing = {} -%}
    {%- for node in (graph.nodes.values() if execute else []) if node.resource_type == 'model' and node.config.meta.get('grows_by') -%}
        {%- do growing.update({node.unique_id: node.name}) -%}
    {%- endfor -%}
    {%- set found = {} -%}
    {%- for unique_id, name in growing.items() -%}
        {%- set above = [unique_id] -%}
        {#- The list grows while it is walked: parents of parents come last. -#}
        {%- for one in above -%}
            {%- set parents = graph.nodes[one].depends_on.nodes if one in graph.nodes else [] -%}
            {%- do above.extend(parents | reject('in', above)) -%}
        {%- endfor -%}
        {%- set names = [] -%}
        {%- for one in above if one in growing -%}
            {%- do names.append(growing[one]) -%}
        {%- endfor -%}
        {%- do found.update({name: names}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
