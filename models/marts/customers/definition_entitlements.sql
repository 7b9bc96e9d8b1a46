with definitions as (

    select * from {{ ref('definitions') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

needs as (

    select * from {{ ref('definition_needs') }}

),

entitlements as (

    select * from {{ ref('stg_platform__entitlements') }}

),

asked as (

    select
        namespaces.namespace,
        definitions.definition,
        definitions.namespaces as only_for,
        needs.priority,
        case when entitlements.entitlement is null then needs.reason end as reason
    from namespaces
    cross join definitions
    inner join needs on needs.definition in ('every', definitions.definition)
    left join entitlements
        on namespaces.namespace = entitlements.namespace
        and needs.entitlement = entitlements.entitlement

    union all

    select
        namespaces.namespace,
        definitions.definition,
        definitions.namespaces as only_for,
        0 as priority,
        case
            when {{ dbt.position("'|' || namespaces.namespace || '|'", "'|' || definitions.namespaces || '|'") }} = 0
                then 'not an attribute of this client'
        end as reason
    from namespaces
    cross join definitions

),

ranked as (

    select
        *,
        row_number() over (
            partition by namespace, definition
            order by case when reason is null then 1 else 0 end, priority
        ) as preference
    from asked

)

select
    cast(namespace as {{ dbt.type_string() }}) as namespace,
    cast(definition as {{ dbt.type_string() }}) as definition,
    reason is null as entitled,
    cast(reason as {{ dbt.type_string() }}) as reason
from ranked
where preference = 1
