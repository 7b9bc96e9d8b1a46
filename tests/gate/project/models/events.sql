{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_days_due() }}", meta={
    'grows_by': 'event_day', 'dataset': {'window': 'event_day', 'order_by': ['event_time', 'unique_key']}
}) }}
{%- if var('sleep') and target.type == 'postgres' %}{% do run_query('select pg_sleep(' ~ var('sleep') ~ ')') if execute %}{% endif %}
select stg_events.namespace, stg_events.email, stg_events.event, stg_events.event_time, stg_events.unique_key,
    stg_events.event_day
from {{ ref('stg_events') }} as stg_events
inner join {{ ref('codes') }} as codes on stg_events.event = codes.event
where stg_events.event_day in (select event_day from {{ ref('int_days_due') }} where model = 'events')
order by stg_events.event_day, stg_events.namespace, stg_events.event_time, stg_events.unique_key
