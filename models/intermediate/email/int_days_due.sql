{#- growing: each growing model, and what of it grows: itself and the growing models above it. -#}

with touched as (

    select
        event_day,
        max(loaded_at) as touched_at
    from {{ ref('int_raw_days') }}
    group by event_day

),

growing as (
    {% for model, ancestors in dbt_delivery.growing_models().items() %}
    {% set is_last = loop.last %}
    {% for built_from in ancestors %}
    select
        '{{ model }}' as model,
        '{{ built_from }}' as built_from
    {% if not (is_last and loop.last) %}union all{% endif %}
    {% endfor %}
    {% endfor %}
),

builds as (

    {{ builds_of_days() | indent(4) }}

),

versions as (

    select
        growing.model,
        touched.event_day,
        max(touched.touched_at) as touched_at,
        max(builds.built_at) as newest_built_at,
        max(case when builds.model = growing.model and builds.is_kept then builds.built_at end) as built_at
    from growing
    cross join touched
    left join builds
        on growing.built_from = builds.model
        and touched.event_day = builds.event_day
    group by growing.model, touched.event_day

),

behind as (

    select
        model,
        event_day,
        greatest(touched_at, coalesce(newest_built_at, touched_at)) as due_since
    from versions
    where built_at is null or built_at < touched_at or built_at < newest_built_at

)

select
    growing.model,
    behind.event_day,
    max(behind.due_since) as due_since
from growing
inner join behind on growing.built_from = behind.model
group by growing.model, behind.event_day
