with namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

needs as (

    select * from {{ ref('dataset_needs') }}

),

entitlements as (

    select * from {{ ref('stg_platform__entitlements') }}

)

select
    cast(namespaces.namespace as {{ dbt.type_string() }}) as namespace,
    cast(needs.dataset as {{ dbt.type_string() }}) as dataset,
    entitlements.entitlement is not null as entitled,
    cast(
        case when entitlements.entitlement is null then 'no contract for ' || needs.entitlement end
        as {{ dbt.type_string() }}
    ) as reason
from namespaces
cross join needs
left join entitlements
    on namespaces.namespace = entitlements.namespace
    and needs.entitlement = entitlements.entitlement
