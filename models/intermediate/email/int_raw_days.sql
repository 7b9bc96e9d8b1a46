{{ config(materialized='incremental', incremental_strategy='append') }}

{%- set newest = "(select coalesce(max(loaded_at), timestamp '1970-01-01 00:00:00') from earlier)" %}

with earlier as (

    {{ earlier_raw_days() | indent(4) }}

),

files as (

    select * from {{ ref('base_landing__files') }}
    where loaded_at > {{ newest }}

),

events as (

    select * from {{ ref('int_email_events_posted') }}
    where loaded_at > {{ newest }}

),

halts as (

    select * from {{ ref('base_platform__halts') }}
    where loaded_at > {{ newest }}

),

unsubscribes as (

    select * from {{ ref('base_platform__unsubscribes') }}
    where loaded_at > {{ newest }}

),

new_ids as (

    select * from {{ ref('int_event_ids') }}
    where loaded_at > {{ newest }}

),

-- Of days after the oldest of those: most builds load the newest day, and then there are none.
later_ids as (

    select * from {{ ref('int_event_ids') }}
    where event_day > (select min(new_ids.event_day) from new_ids)
        and loaded_at <= {{ newest }}

),

campaign_runs as (

    select * from {{ ref('stg_platform__campaign_runs') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

journeys as (

    select * from {{ ref('stg_platform__journeys') }}

),

used as (

    {{ earlier_record_days() | indent(4) }}

),

told_otherwise as (

    select
        used.event_day,
        used.knows_namespace <> (namespaces.namespace is not null) as knows_namespace_otherwise
    from used
    left join namespaces on used.namespace = namespaces.namespace
    left join campaign_runs
        on used.namespace = campaign_runs.namespace
        and used.campaign_run_id = campaign_runs.campaign_run_id
    left join journeys
        on used.namespace = journeys.namespace
        and used.journey_id = journeys.journey_id
        and {{ is_journey_of('campaign_runs.campaign_run_time') }}
    where used.knows_namespace <> (namespaces.namespace is not null)
        or used.run_version is distinct from campaign_runs.run_version
        or used.journey_name is distinct from journeys.journey_name

),

silent as (

    {{ earlier_email_arguments() | indent(4) }}

),

landed as (

    {% for rows in ['events', 'halts', 'unsubscribes'] %}
    select
        event_day,
        'raw rows' as cause,
        file_name,
        loaded_at
    from {{ rows }}

    union distinct

    {% endfor %}
    select
        earlier.event_day,
        'raw rows' as cause,
        earlier.file_name,
        files.loaded_at
    from earlier
    inner join files on earlier.file_name = files.file_name
    where earlier.cause = 'raw rows'

),

told as (

    {% for id in ['message_id', 'smtp_id'] %}
    select silent.event_day from silent
    inner join events
        on silent.{{ id }} = events.{{ id }}
        and events.namespace is not null
        and {{ days_between('events.event_day', 'silent.event_day') }}
        between -{{ var('late_event_days') }} and {{ var('late_event_days') }}

    union distinct

    {% endfor %}
    select silent.event_day from silent
    inner join landed on landed.event_day between silent.told_from and silent.told_until

    union distinct

    -- Whose a message is depends on which of the clients that claim it are known.
    select silent.event_day from silent
    inner join told_otherwise on told_otherwise.event_day between silent.told_from and silent.told_until
    where told_otherwise.knows_namespace_otherwise

),

touched as (

    select * from landed

    union distinct

    select
        event_day,
        'another event of its message' as cause,
        cast(null as {{ dbt.type_string() }}) as file_name,
        {{ dbt_delivery.started_at() }} as loaded_at
    from told

    union distinct

    select
        event_day,
        'another record' as cause,
        cast(null as {{ dbt.type_string() }}) as file_name,
        {{ dbt_delivery.started_at() }} as loaded_at
    from told_otherwise

),

repeats as (

    {{ earlier_repeat_days() | indent(4) }}

),

followed as (

    select
        repeats.event_day,
        touched.loaded_at
    from repeats
    inner join touched on repeats.seen_on = touched.event_day

    union distinct

    select
        later_ids.event_day,
        new_ids.loaded_at
    from new_ids
    inner join later_ids
        on new_ids.id = later_ids.id
        and new_ids.event_day < later_ids.event_day

)

select * from touched
union all
select
    event_day,
    'retries of an earlier day' as cause,
    cast(null as {{ dbt.type_string() }}) as file_name,
    loaded_at
from followed
{%- if var('rebuild_from') and var('rebuild_to') %}
union all
select
    event_day,
    'asked for' as cause,
    cast(null as {{ dbt.type_string() }}) as file_name,
    {{ dbt_delivery.started_at() }} as loaded_at
from (
    select event_day from earlier
    union distinct
    select event_day from touched
) as known_days
where event_day between date '{{ var("rebuild_from") }}' and date '{{ var("rebuild_to") }}'
{%- endif %}
