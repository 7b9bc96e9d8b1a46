-- Each day that the last load touched is due since then: what int_raw_days forgot, no bounded test would look at.
{%- set sources = ['base_platform__halts', 'base_platform__unsubscribes'] %}
{%- for provider in providers() -%}{%- do sources.append('stg_' ~ provider ~ '__events') -%}{%- endfor %}

with raw_days as (

    select
        event_day,
        max(loaded_at) as loaded_at
    from {{ ref('int_raw_days') }}
    group by event_day

),

last_load as (
    {% for source in sources %}
    select distinct
        event_day,
        loaded_at
    from {{ ref(source) }}
    where loaded_at = (select max(loads.loaded_at) from {{ ref(source) }} as loads)
    {{ 'union distinct' if not loop.last }}
    {% endfor %}
)

select
    last_load.event_day,
    last_load.loaded_at,
    raw_days.loaded_at as due_since
from last_load
left join raw_days on last_load.event_day = raw_days.event_day
where raw_days.loaded_at is null or raw_days.loaded_at < last_load.loaded_at
