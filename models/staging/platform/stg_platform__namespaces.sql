{%- set fields = [
    'namespace', 'name', 'soft_bounce_limit', 'attribution_hours', 'default_country', 'currency', 'updated_at'
] -%}

with namespaces as (

    select * from {{ ref('base_platform__namespaces') }}

),

parsed as (

    {{ json_documents('namespaces', 'payload', fields) | indent(4) }}

),

typed as (

    select
        {{ name_said('namespace') }} as namespace,
        {{ json_field('document', 'name') }} as name,
        {{ try_bigint(json_field('document', 'soft_bounce_limit')) }} as soft_bounce_limit,
        {{ try_bigint(json_field('document', 'attribution_hours')) }} as attribution_hours,
        upper({{ trimmed(json_field('document', 'default_country')) }}) as default_country,
        upper({{ trimmed(json_field('document', 'currency')) }}) as currency,
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
            partition by namespace
            order by updated_at desc, file_name desc, line_number desc
        ) as version
    from typed

)

select
    namespace,
    name,
    case when soft_bounce_limit > 0 then soft_bounce_limit else {{ var('soft_bounce_limit') }} end as soft_bounce_limit,
    case
        when attribution_hours between 24 and 240 and mod(attribution_hours, 24) = 0 then attribution_hours
        else {{ var('attribution_hours') }}
    end as attribution_hours,
    default_country,
    case when {{ matches('currency', '^[A-Z]{3}$') }} then currency end as currency,
    updated_at,
    loaded_at
from ranked
where version = 1
