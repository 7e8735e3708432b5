"""Routes, one module a provider; ``GuardedRoute`` sees that each declares who may call it."""
