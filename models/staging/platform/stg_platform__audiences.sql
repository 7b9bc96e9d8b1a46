{%- set fields = ['namespace', 'audience_id', 'audience_name', 'updated_at'] -%}

with audiences as (

    select * from {{ ref('base_platform__audiences') }}

),

parsed as (

    {{ json_documents('audiences', 'payload', fields) | indent(4) }}

),

typed as (

    select
        {{ name_said('namespace') }} as namespace,
        {{ name_said('audience_id') }} as audience_id,
        {{ json_field('document', 'audience_name') }} as audience_name,
        {{ try_timestamp(json_field('document', 'updated_at')) }} as updated_at,
        loaded_at,
        file_name,
        line_number
    from parsed
    where fault is null

),

ranked as (

    select
        *,
        row_number() over (
            partition by namespace, audience_id
            order by updated_at desc, file_name desc, line_number desc
        ) as version
    from typed

)

select
    namespace,
    audience_id,
    audience_name,
    updated_at,
    loaded_at
from ranked
where version = 1
