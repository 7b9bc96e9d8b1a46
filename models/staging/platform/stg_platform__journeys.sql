{%- set fields = ['namespace', 'journey_id', 'journey_name', 'updated_at'] -%}

with journeys as (

    select * from {{ ref('base_platform__journeys') }}

),

parsed as (

    {{ json_documents('journeys', 'payload', fields) | indent(4) }}

),

typed as (

    select
        {{ name_said('namespace') }} as namespace,
        {{ name_said('journey_id') }} as journey_id,
        {{ json_field('document', 'journey_name') }} as journey_name,
        {{ try_timestamp(json_field('document', 'updated_at')) }} as updated_at,
        loaded_at
    from parsed
    where fault is null

),

named as (

    select
        namespace,
        journey_id,
        max(journey_name) as journey_name,
        updated_at,
        max(loaded_at) as loaded_at
    from typed
    group by namespace, journey_id, updated_at

)

select
    namespace,
    journey_id,
    journey_name,
    case
        when row_number() over (partition by namespace, journey_id order by updated_at) > 1
            then updated_at
    end as valid_from,
    lead(updated_at) over (partition by namespace, journey_id order by updated_at) as valid_to,
    updated_at,
    loaded_at
from named
