{%- set fields = ['namespace', 'entitlement'] -%}

with entitlements as (

    select * from {{ ref('base_platform__entitlements') }}

),

parsed as (

    {{ json_documents('entitlements', 'payload', fields) | indent(4) }}

),

final as (

    select distinct
        {{ name_said('namespace') }} as namespace,
        {{ code(json_field('document', 'entitlement')) }} as entitlement
    from parsed
    where fault is null

)

select * from final
