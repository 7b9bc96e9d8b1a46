{{ config(enabled=reads_files()) }}

{#- What the files in tests/dbt/fixtures/landing hold, read by the macro that reads the landing folder. -#}
{%- set root = 'tests/dbt/fixtures/landing' -%}
{%- set files = [
    'sendgrid/lines.ndjson', 'sendgrid/nearly.ndjson', 'sendgrid/returns.ndjson', 'sendgrid/lone_returns.ndjson',
    'sendgrid/packed.ndjson.gz',
    'sendgrid/posts/20261103T101500Z.json',
    'sendgrid/posts/20261103T101501Z-eu.json.gz', 'sendgrid/posts/20261103T101502Z-cut.json',
    'sendgrid/posts/20261103T101503Z-half.json', 'sendgrid/posts/20261103T101504Z-twice.json',
    'sendgrid/posts/untimed.json'
] -%}
{%- set expected = [
    ['sendgrid/lines.ndjson', 1, '2026-11-01 10:00:00', 'open', none],
    ['sendgrid/lines.ndjson', 2, '2026-11-01 10:00:00', 'click', none],
    ['sendgrid/lines.ndjson', 2, '2026-11-01 10:00:00', 'open', none],
    ['sendgrid/lines.ndjson', 2, '2026-11-01 10:00:00', none, 'the event is no object'],
    ['sendgrid/lines.ndjson', 5, '2026-11-01 10:00:03', none, 'not {"received_at": ..., "payload": ...}'],
    ['sendgrid/lines.ndjson', 6, '2026-11-01 10:00:04', none, 'not {"received_at": ..., "payload": ...}'],
    ['sendgrid/lines.ndjson', 7, none, 'open', 'received_at is no time'],
    ['sendgrid/lines.ndjson', 8, '2026-11-01 10:00:05', none, 'the payload is no object or array'],
    ['sendgrid/lines.ndjson', 9, none, none, 'not {"received_at": ..., "payload": ...}'],
    ['sendgrid/lines.ndjson', 10, '2026-11-01 10:00:09.25', 'open', none],
    ['sendgrid/nearly.ndjson', 1, '2026-11-01 10:00:10', none, 'not JSON'],
    ['sendgrid/nearly.ndjson', 2, '2026-11-01 10:00:11', none, 'a text holds half a character'],
    ['sendgrid/nearly.ndjson', 3, '2026-11-01 10:00:12', 'open', none],
    ['sendgrid/nearly.ndjson', 4, '2026-11-01 10:00:13', none, 'a text holds the character NUL'],
    ['sendgrid/nearly.ndjson', 5, '2026-11-01 10:00:14', none, 'NaN is no JSON'],
    ['sendgrid/nearly.ndjson', 6, '2026-11-01 10:00:15', none, 'a name comes twice in one object'],
    ['sendgrid/nearly.ndjson', 7, '2026-11-01 10:00:16', 'open', none],
    ['sendgrid/nearly.ndjson', 7, '2026-11-01 10:00:16', none, 'a name comes twice in one object'],
    ['sendgrid/nearly.ndjson', 8, '2026-11-01 10:00:17', none, 'a name comes twice in one object'],
    ['sendgrid/nearly.ndjson', 9, '2026-11-01 10:00:18', none, 'a name comes twice in one object'],
    ['sendgrid/nearly.ndjson', 10, '2026-11-01 10:00:19', 'open', none],
    ['sendgrid/nearly.ndjson', 10, '2026-11-01 10:00:19', none, 'a text holds half a character'],
    ['sendgrid/nearly.ndjson', 10, '2026-11-01 10:00:19', none, 'a text holds the character NUL'],
    ['sendgrid/nearly.ndjson', 10, '2026-11-01 10:00:19', 'click', none],
    ['sendgrid/nearly.ndjson', 11, '2026-11-01 10:00:20', none, 'not JSON'],
    ['sendgrid/nearly.ndjson', 12, '2026-11-01 10:00:21', none, 'a name comes twice in one object'],
    ['sendgrid/nearly.ndjson', 13, '2026-11-01 10:00:22', none, 'a name comes twice in one object'],
    ['sendgrid/nearly.ndjson', 14, '2026-11-01 10:00:23', 'open', none],
    ['sendgrid/nearly.ndjson', 14, '2026-11-01 10:00:23', none, 'a name comes twice in one object'],
    ['sendgrid/returns.ndjson', 1, '2026-11-01 10:00:20', 'open', none],
    ['sendgrid/returns.ndjson', 3, none, none, 'not {"received_at": ..., "payload": ...}'],
    ['sendgrid/returns.ndjson', 4, '2026-11-01 10:00:21', 'click', none],
    ['sendgrid/returns.ndjson', 5, none, none, 'not {"received_at": ..., "payload": ...}'],
    ['sendgrid/lone_returns.ndjson', 1, '2026-11-01 10:00:22', 'open', none],
    ['sendgrid/lone_returns.ndjson', 2, '2026-11-01 10:00:23', 'click', none],
    ['sendgrid/lone_returns.ndjson', 3, none, none, 'not {"received_at": ..., "payload": ...}'],
    ['sendgrid/packed.ndjson.gz', 1, '2026-11-02 10:00:00', 'open', none],
    ['sendgrid/posts/20261103T101500Z.json', 1, '2026-11-03 10:15:00', 'processed', none],
    ['sendgrid/posts/20261103T101500Z.json', 1, '2026-11-03 10:15:00', 'delivered', none],
    ['sendgrid/posts/20261103T101501Z-eu.json.gz', 1, '2026-11-03 10:15:01', 'open', none],
    ['sendgrid/posts/20261103T101502Z-cut.json', 1, '2026-11-03 10:15:02', none, 'not {"received_at": ..., "payload": ...}'],
    ['sendgrid/posts/20261103T101503Z-half.json', 1, '2026-11-03 10:15:03', none, 'a text holds half a character'],
    ['sendgrid/posts/20261103T101503Z-half.json', 1, '2026-11-03 10:15:03', 'open', none],
    ['sendgrid/posts/20261103T101504Z-twice.json', 1, '2026-11-03 10:15:04', none, 'a name comes twice in one object'],
    ['sendgrid/posts/untimed.json', 1, none, 'open', 'received_at is no time']
] -%}

{#- sqlfluff knows no frame of a window that has no order. #}
with landed as (

    {{ landed_events(none, files, root) | indent(4) }} -- noqa: PRS

),

parsed as (

    {{ json_documents('landed', 'payload', ['event'], says_all_else()) | indent(4) }}

),

found as (

    select
        file_name,
        line_number,
        received_at,
        {{ json_field('document', 'event') }} as event,
        fault
    from parsed

),

expected as (
    {% for row in expected %}
    select
        '{{ row[0] }}' as file_name,
        {{ row[1] }} as line_number,
        {{ "timestamp '" ~ row[2] ~ "'" if row[2] else 'cast(null as timestamp)' }} as received_at,
        {{ dbt_delivery.quoted([row[3]]) if row[3] else 'null' }} as event,
        {{ dbt_delivery.quoted([row[4]]) if row[4] else 'null' }} as fault
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

missing as (

    select * from expected
    except all
    select * from found

),

unexpected as (

    select * from found
    except all
    select * from expected

)

select
    'missing' as difference,
    *
from missing
union all
select
    'unexpected' as difference,
    *
from unexpected
