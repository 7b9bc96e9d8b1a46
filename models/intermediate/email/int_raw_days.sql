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

    select * from {{ ref('base_sendgrid__events') }}
    where loaded_at > {{ newest }}

),

platform_rows as (

    select * from {{ ref('base_platform__rows') }}
    where loaded_at > {{ newest }} and entity in ('halts', 'unsubscribes')

),

campaign_runs as (

    select * from {{ ref('stg_platform__campaign_runs') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

reasons as (

    select * from {{ ref('rejection_reasons') }}

),

versions as (

    select
        event_day,
        max(loaded_at) as loaded_at
    from earlier
    group by event_day

),

rejected as (

    {{ earlier_rejected_events() | indent(4) }}

),

waiting as (

    select
        rejected.event_day,
        reasons.waits_for,
        rejected.namespace,
        rejected.campaign_run_id,
        versions.loaded_at
    from rejected
    inner join reasons on rejected.reason = reasons.reason
    inner join versions on rejected.event_day = versions.event_day

),

touched as (

    select
        event_day,
        'raw rows' as cause,
        file_name,
        loaded_at
    from events

    union

    select
        event_day,
        'raw rows' as cause,
        file_name,
        loaded_at
    from platform_rows

    union

    select
        earlier.event_day,
        'raw rows' as cause,
        earlier.file_name,
        files.loaded_at
    from earlier
    inner join files on earlier.file_name = files.file_name
    where earlier.cause = 'raw rows'

    union

    select
        waiting.event_day,
        'campaign run now known' as cause,
        cast(null as {{ dbt.type_string() }}) as file_name,
        max(campaign_runs.loaded_at) as loaded_at
    from waiting
    inner join campaign_runs
        on waiting.namespace = campaign_runs.namespace
        and waiting.campaign_run_id = campaign_runs.campaign_run_id
        and waiting.loaded_at < campaign_runs.loaded_at
    where waiting.waits_for = 'campaign_runs'
    group by waiting.event_day

    union

    select
        waiting.event_day,
        'namespace now known' as cause,
        cast(null as {{ dbt.type_string() }}) as file_name,
        max(namespaces.loaded_at) as loaded_at
    from waiting
    inner join namespaces
        on waiting.namespace = namespaces.namespace
        and waiting.loaded_at < namespaces.loaded_at
    where waiting.waits_for = 'namespaces'
    group by waiting.event_day

),

known_days as (

    select event_day from earlier
    union
    select event_day from touched

),

followed as (

    select distinct
        known_days.event_day,
        'retries of an earlier day' as cause,
        cast(null as {{ dbt.type_string() }}) as file_name,
        touched.loaded_at
    from touched
    inner join known_days
        on known_days.event_day > touched.event_day
        and known_days.event_day
        <= cast({{ dbt.dateadd('day', var('webhook_retry_days'), 'touched.event_day') }} as date)

)

select * from touched
union all
select * from followed
{%- if var('rebuild_from') and var('rebuild_to') %}
union all
select
    event_day,
    'asked for' as cause,
    cast(null as {{ dbt.type_string() }}) as file_name,
    {{ started_at() }} as loaded_at
from known_days
where event_day between date '{{ var("rebuild_from") }}' and date '{{ var("rebuild_to") }}'
{%- endif %}
